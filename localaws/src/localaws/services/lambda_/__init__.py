"""Lambda: moto keeps functions and their configuration; here functions run.

A deployed function runs from its own zip, under AWS's own runtime client, in processes that have
its code, boto3 and nothing else: with the credentials of its role, its environment variables, and
its limits of time and memory. A process handles one event at a time and stays for the next one,
until code or configuration change. Its output goes to CloudWatch Logs.

Functions of a program that embeds this AWS run too: the program adds handlers by name. Both kinds
are invoked directly or asynchronously, with Lambda's retries.
"""
