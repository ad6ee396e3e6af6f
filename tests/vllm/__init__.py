"""Real vLLM on this machine's CPU, serving a small model of our own (make vllm-test)."""
