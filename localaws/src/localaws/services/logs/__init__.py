"""CloudWatch Logs: moto's. Deployed functions write to it; here are the permissions it needs."""
