"""defemb: see and repair the token embeddings of pretrained language models."""
