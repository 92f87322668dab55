"""EventBridge: moto keeps rules and targets. Here rules with a rate invoke their functions."""
