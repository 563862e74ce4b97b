raise ImportError("no codec for this machine")
