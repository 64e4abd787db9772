"""recloop closes the loop between LLM agents and recommenders."""
