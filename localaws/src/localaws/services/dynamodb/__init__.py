"""DynamoDB: moto keeps tables and items, and evaluates expressions.

Here writes become atomic: other requests see a write whole or not at all. Everything can be kept on
disk.
"""
