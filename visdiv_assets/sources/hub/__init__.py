"""Datasets on the Hugging Face Hub: their layout, their files, and the requests for them."""
