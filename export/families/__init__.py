"""Families of Image LLMs: one small file each. `redvillm.export.families.registry` chooses by the checkpoint's own configuration."""
