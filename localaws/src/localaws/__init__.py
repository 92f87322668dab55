"""AWS on one machine, for development and tests.

:mod:`localaws.rekognition` is a Rekognition that recognises real faces. It runs alone, without
moto: ``localaws --only rekognition``, or the pytest fixture ``rekognition``.

:class:`localaws.server.EmbeddedAWS` is Rekognition together with S3, DynamoDB, SQS, IAM, Lambda,
API Gateway, CloudFormation, EventBridge and the other services of moto, on one port. It needs the
extra ``localaws[aws]``.
"""
