.PHONY: setup check test docs

setup:  ## install the library with the developer tools
	python -m pip install -e ".[dev]"

check:  ## format, lint and types, without changing a file
	ruff check
	ruff format --check
	mypy

test:  ## everything but the slow, gpu and network marks
	pytest

docs:  ## build the documentation; a warning is an error
	sphinx-build -W --keep-going -b html docs docs/_build/html
