"""Is the simulated user believable? Protocols that measure an agent beside rows that need no language model.

One protocol a file: `agentcf`, `llmrank`, `taste`, `ratings`, `position`, `setwise_value`, `contamination`, `canaries`.
`suite.fidelity` runs them; `rows` says who answers, `references` who answers without a model.
"""
