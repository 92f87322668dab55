"""What moto holds in memory, kept on disk: S3, DynamoDB and SQS.

moto keeps nothing itself, and its recorder repeats requests, which gives other version ids, upload
ids and dates than those that were answered. So not the requests are kept but what they lead to:
after each request that changes something, the objects, items and queues it touched are written as
they are now, before it is answered. A start reads them back, without repeating anything.

Bodies of objects are on disk only, which keeps memory small and the start short.
"""

from localaws.persistence.middleware import Persistence

__all__ = ["Persistence"]
