"""Fine-tuning a generator to K images: recipes made of five independent parts, and the stage they become."""
