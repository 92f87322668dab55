"""S3: moto stores buckets and objects, and answers most requests.

Here event notifications become complete, in AWS's form, and are sent after the request. Browser
uploads must keep to their signed policy. Everything can be kept on disk.
"""
