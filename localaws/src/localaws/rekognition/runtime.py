"""Run the models with OpenVINO. No other module imports OpenVINO.

OpenVINO runs the models twice as fast as OpenCV; ``bench/faces.py`` compares the two. It reads the
published files unchanged, except that ``_dequantize`` has to compute their 8-bit weights.
"""

import os
import sys
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

# On import, OpenVINO reports its use to Google Analytics through the package openvino_telemetry,
# which pip installs with it. OpenVINO works without the package. We block it: a face recognition
# service must not send anything to third parties.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402
from openvino.frontend import NodeContext  # noqa: E402
from openvino.frontend.onnx import ConversionExtension  # noqa: E402
from openvino.preprocess import PrePostProcessor  # noqa: E402

Outputs: TypeAlias = list[NDArray[np.float32]]
"""The output tensors of a model for one image. The first dimension of each is 1."""

# One processor computes one image, and all processors work at the same time. In total this is
# faster than several processors working on one image.
_MAX_STREAMS: Final = 8
# OpenVINO plans each operation for each size of an image, and keeps this many plans per processor.
# With its default of 5,000, images of all sizes need 400 MB more. Planning again takes 8 ms.
_MOST_PLANS: Final = 200


class Network:
    """A compiled model. Safe to share between threads.

    Args:
        content: the model in ONNX format.
        size: height and width of the images in pixels; -1 for a dimension that varies.
        channels_reversed: True if the model expects the channel order blue, green, red.
        streams: number of images computed at the same time. Default: one per processor, at most 8.
    """

    def __init__(
        self,
        content: bytes,
        size: tuple[int, int],
        *,
        channels_reversed: bool,
        streams: int | None = None,
    ) -> None:
        core = ov.Core()
        core.add_extension(ConversionExtension("DequantizeLinear", _dequantize))
        model = core.read_model(content, b"")
        model.reshape([1, 3, *size])
        streams = streams or min(os.cpu_count() or 1, _MAX_STREAMS)
        self._model = core.compile_model(
            _accept_images(model, channels_reversed),
            "CPU",
            {
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": streams,
                # By default, OpenVINO computes in 16 bits on processors that support it. The same
                # face would then get different vectors on different machines.
                "INFERENCE_PRECISION_HINT": "f32",
                # A pinned thread waits while another program uses its processor.
                "ENABLE_CPU_PINNING": False,
                "CPU_RUNTIME_CACHE_CAPACITY": _MOST_PLANS,
            },
        )

    def run(self, *images: NDArray[np.uint8]) -> list[Outputs]:
        """Return the model's outputs for each image, in the order of the images.

        Free processors compute the images in parallel.

        Args:
            images: arrays of shape (height, width, 3), channels red, green, blue.
        """
        if not images:
            return []
        requests = [self._model.create_infer_request() for _ in images]
        inputs = [{0: np.ascontiguousarray(image)[np.newaxis]} for image in images]
        for request, pixels in zip(requests[:-1], inputs[:-1], strict=True):
            request.start_async(pixels, share_inputs=True)
        # Run the last request in this thread: waking another thread would take longer.
        requests[-1].infer(inputs[-1], share_inputs=True)
        for request in requests[:-1]:
            request.wait()
        # Copy the tensors: their memory belongs to the requests, which end with this call.
        return [
            [np.array(tensor.data) for tensor in request.output_tensors] for request in requests
        ]


def _accept_images(model: ov.Model, channels_reversed: bool) -> ov.Model:
    """Return a model that accepts images as Pillow stores them: bytes, in the layout NHWC."""
    adapted = PrePostProcessor(model)
    adapted.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    adapted.input().model().set_layout(ov.Layout("NCHW"))
    if channels_reversed:
        adapted.input().preprocess().reverse_channels()
    return adapted.build()


def _dequantize(node: NodeContext) -> Any:
    """Return the weights that a DequantizeLinear operation computes, as a constant.

    OpenVINO's own implementation does not support a block-quantised vector. SFace has one. The
    formula is in https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html.
    """
    quantized, scale, zero = (
        np.asarray(node.get_input(position).get_node().data) for position in range(3)
    )
    axis = node.get_attribute("axis", 1)
    block = node.get_attribute("block_size", 0)
    if block:
        length = quantized.shape[axis]
        scale, zero = (
            np.repeat(values, block, axis).take(range(length), axis) for values in (scale, zero)
        )
    elif scale.size > 1:
        shape = [-1 if dimension == axis else 1 for dimension in range(quantized.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    weights = (quantized.astype(np.float32) - zero.astype(np.float32)) * scale
    return opset13.constant(weights).outputs()
