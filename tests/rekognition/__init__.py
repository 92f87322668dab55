"""The local Rekognition, driven through boto3 over HTTP."""
