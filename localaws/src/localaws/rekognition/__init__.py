"""A local Amazon Rekognition for face collections. It recognises real faces from their pixels.

It speaks AWS's protocol, so boto3, the AWS CLI and every other SDK work with it unchanged. Openly
licensed models compute every result; no answer is canned. It implements face detection, face
comparison, collections and users. Every other operation fails with ``NotImplementedException``.

A request passes through these modules:

- ``protocol`` reads the HTTP request and validates it with ``shapes``.
- ``operations`` performs the operation and builds the response with ``answers``.
- ``collections``, ``faces`` and ``users`` hold the state.
- ``exceptions`` holds the errors.

``engine`` and ``analysis`` find and describe faces. They know nothing of requests and responses.
"""

from localaws.rekognition.models import ModelUnavailable
from localaws.rekognition.protocol import RekognitionApp

__all__ = ["ModelUnavailable", "RekognitionApp"]
