"""SQS: moto keeps queues and messages. Here they can be kept on disk."""
