"""New tokens: rows for words that the PLM never had, built from their definitions.

In the order of the work: `terms` (which words), `spelling` (how the tokenizer learns them), `rows` (what their rows
are), `plan` (all of this together), `compare` (how good such rows are, on words whose rows are hidden), `checkpoint`
(the PLM with its new tokens, written to a folder).
"""
