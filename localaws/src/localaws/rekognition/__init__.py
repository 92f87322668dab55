"""A local Amazon Rekognition for face collections, which recognises faces from their pixels.

It speaks AWS's protocol, so boto3, the AWS CLI and any other SDK use it as they use AWS, and its
answers come from openly licensed models: nothing is canned. It implements face detection,
comparison and collections; other operations are refused.

A request crosses four rooms. ``protocol`` reads it from the wire and checks it with ``shapes``;
``operations`` does what it asks for, and says it in AWS's structures with ``answers``;
``collections``, with ``faces`` and ``users``, is the state; ``exceptions`` are the errors. Faces
themselves are found and described by ``engine`` and ``analysis``, which know nothing of requests
and answers.
"""

from localaws.rekognition.models import ModelUnavailable
from localaws.rekognition.protocol import RekognitionApp

__all__ = ["ModelUnavailable", "RekognitionApp"]
