"""`local`: a causal language model of transformers, read from a folder, on this machine's processor or GPU.

Read `model.py` for what is loaded, `encoding.py` and `scoring.py` for log-probabilities, `decoding.py` for texts and
`trie.py` for answers that can only be a catalogue's titles.
"""
