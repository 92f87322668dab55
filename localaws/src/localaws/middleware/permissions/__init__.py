"""What callers may do: policies, the actions that requests need, and the gate before all."""
