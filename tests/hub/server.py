"""A small Hugging Face hub on loopback: repositories in memory, the requests huggingface_hub's client makes.

Creating repositories and branches, preupload, LFS batch, upload and verify, commit (also as a pull request),
model info, and resolve with the headers the client's cache depends on. Writing needs the token ``hf_test``.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_test"


@dataclass
class Repository:
    """Commits are ``{path: sha256}`` by hash; branches point at commits."""

    commits: dict[str, dict[str, str]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def find(self, revision: str) -> str | None:
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None

    def commit(self, branch: str, changes: dict[str, str], message: str) -> str:
        parent = self.branches.get(branch) or self.branches["main"]
        files = {**self.commits.get(parent, {}), **changes}
        oid = hashlib.sha1(f"{parent}{message}{sorted(files.items())}".encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid


class HubServer(ThreadingHTTPServer):
    """``with HubServer() as hub: hub.endpoint``; ``requests`` lists what was asked, as ``METHOD /path``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.agents: set[str] = set()
        self.private: dict[str, object] = {}
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "HubServer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def storage(self) -> str:
        """Large files live on another host than the hub, and the client keeps its token from it."""
        return f"http://localhost:{self.server_address[1]}"

    def create(self, repo_id: str) -> Repository:
        repository = self.repositories[repo_id] = Repository()
        repository.commits["0" * 40], repository.branches["main"] = {}, "0" * 40
        return repository

    def publish(self, repo_id: str, files: dict[str, bytes]) -> str:
        """Put files straight into a repository; returns the commit."""
        repository = self.repositories.get(repo_id) or self.create(repo_id)
        return repository.commit("main", {name: self.store(data) for name, data in files.items()}, "publish")

    def store(self, data: bytes) -> str:
        oid = hashlib.sha256(data).hexdigest()
        self.blobs[oid] = data
        return oid

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        repository = self.repositories[repo_id]
        return {name: self.blobs[oid] for name, oid in repository.commits[repository.find(revision)].items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self) -> None:
        self._dispatch()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _dispatch(self) -> None:
        url = urlsplit(self.path)
        self.body = self._read_body()
        self.query = parse_qs(url.query)
        self.server.requests.append(f"{self.command} {url.path}")
        self.server.agents.add(self.headers.get("User-Agent", ""))
        for method, pattern, name in _ROUTES:
            match = re.fullmatch(pattern, url.path)
            if match and self.command in method:
                return getattr(self, name)(**{key: unquote(value) for key, value in match.groupdict().items()})
        return self._json(404, {"error": f"no route {self.command} {url.path}"})

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._json(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def _refused(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        self._json(401, {"error": "Invalid credentials in Authorization header"})
        return True

    # --- writing

    def create_repo(self) -> None:
        if self._refused():
            return None
        asked = json.loads(self.body)
        repo_id = f"{asked['organization']}/{asked['name']}"
        if repo_id in self.server.repositories:
            return self._json(409, {"error": "You already created this model repo", "url": self._url(repo_id)})
        self.server.create(repo_id)
        self.server.private[repo_id] = asked.get("private", asked.get("visibility"))
        return self._json(200, {"url": self._url(repo_id), "name": repo_id, "id": repo_id})

    def create_branch(self, repo: str, branch: str) -> None:
        repository = self.server.repositories[repo]
        if branch in repository.branches:
            return self._json(409, {"error": "Reference already exists"})
        repository.branches[branch] = repository.branches["main"]
        return self._json(200, {"ok": True})

    def validate_yaml(self) -> None:
        self._json(200, {"errors": [], "warnings": []})

    def preupload(self, repo: str, revision: str) -> None:
        if self._refused():
            return None
        if repo not in self.server.repositories:
            return self._error(404, "RepoNotFound")
        files = [
            {"path": file["path"], "uploadMode": _upload_mode(file["path"]), "shouldIgnore": False}
            for file in json.loads(self.body)["files"]
        ]
        return self._json(200, {"files": files, "commitOid": self.server.repositories[repo].branches["main"]})

    def lfs_batch(self, repo: str) -> None:
        objects = []
        for asked in json.loads(self.body)["objects"]:
            actions = {
                "upload": {"href": f"{self.server.endpoint}/lfs/{asked['oid']}", "header": {}},
                "verify": {"href": f"{self.server.endpoint}/lfs-verify", "header": {}},
            }
            known = asked["oid"] in self.server.blobs
            objects.append({**asked, **({} if known else {"actions": actions})})
        self._json(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._json(400, {"error": "content does not match its oid"})
        self.server.blobs[oid] = self.body
        return self._send(200)

    def lfs_verify(self) -> None:
        asked = json.loads(self.body)
        found = self.server.blobs.get(asked["oid"], b"")
        self._send(200 if len(found) == asked["size"] else 404)

    def commit(self, repo: str, revision: str) -> None:
        if self._refused():
            return
        repository = self.server.repositories[repo]
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        changes = {}
        for line in lines:
            if line["key"] == "file":
                changes[line["value"]["path"]] = self.server.store(base64.b64decode(line["value"]["content"]))
            elif line["key"] == "lfsFile":
                changes[line["value"]["path"]] = line["value"]["oid"]
        as_pr = self.query.get("create_pr") == ["1"]
        oid = repository.commit("refs/pr/1" if as_pr else revision, changes, header["summary"])
        answer = {"success": True, "commitOid": oid, "commitUrl": f"{self._url(repo)}/commit/{oid}"}
        self._json(200, answer | ({"pullRequestUrl": f"{self._url(repo)}/discussions/1"} if as_pr else {}))

    # --- reading

    def model_info(self, repo: str, revision: str = "main") -> None:
        repository = self.server.repositories.get(repo)
        if repository is None:
            return self._error(401, "RepoNotFound")
        commit = repository.find(revision)
        if commit is None:
            return self._error(404, "RevisionNotFound")
        siblings = [{"rfilename": name} for name in repository.commits[commit]]
        return self._json(200, {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings})

    def resolve(self, repo: str, revision: str, path: str) -> None:
        repository = self.server.repositories.get(repo)
        if repository is None:
            return self._error(401, "RepoNotFound")
        commit = repository.find(revision)
        if commit is None:
            return self._error(404, "RevisionNotFound")
        headers = {"X-Repo-Commit": commit}
        oid = repository.commits[commit].get(path)
        if oid is None:
            return self._error(404, "EntryNotFound", headers)
        data = self.server.blobs[oid]
        if _upload_mode(path) == "regular":
            etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            return self._send(200, data, {**headers, "ETag": f'"{etag}"'})
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
        return self._send(302, b"", {**headers, **linked, "Location": f"{self.server.storage}/lfs/{oid}"})

    def lfs_get(self, oid: str) -> None:
        self._send(200, self.server.blobs[oid], {"ETag": f'"{oid}"'})

    def _url(self, repo: str) -> str:
        return f"{self.server.endpoint}/{repo}"


def _upload_mode(path: str) -> str:
    return "lfs" if path.endswith((".safetensors", ".png", ".webp")) else "regular"


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES = [
    (("POST",), r"/api/repos/create", "create_repo"),
    (("POST",), r"/api/validate-yaml", "validate_yaml"),
    (("POST",), rf"/api/models/{_REPO}/branch/(?P<branch>[^/]+)", "create_branch"),
    (("POST",), rf"/api/models/{_REPO}/preupload/(?P<revision>[^/]+)", "preupload"),
    (("POST",), rf"/api/models/{_REPO}/commit/(?P<revision>[^/]+)", "commit"),
    (("POST",), r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
    (("PUT",), r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
    (("POST",), r"/lfs-verify", "lfs_verify"),
    (("GET", "HEAD"), r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_get"),
    (("GET",), rf"/api/models/{_REPO}", "model_info"),
    (("GET",), rf"/api/models/{_REPO}/revision/(?P<revision>[^/]+)", "model_info"),
    (("GET", "HEAD"), rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
]
