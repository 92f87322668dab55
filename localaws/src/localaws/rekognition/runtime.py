"""Running the models with OpenVINO: the one place that knows of it.

OpenVINO reads the published files as they are, but for one operation of their 8-bit weights, and
runs them twice as fast as OpenCV. ``bench/faces.py`` compares the two.
"""

import os
import sys
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

# At each import, OpenVINO reports to Google Analytics by means of this package, which pip installs
# with it. It does without where there is none: nothing of a service for faces leaves the machine.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402
from openvino.frontend import NodeContext  # noqa: E402
from openvino.frontend.onnx import ConversionExtension  # noqa: E402
from openvino.preprocess import PrePostProcessor  # noqa: E402

Outputs: TypeAlias = list[NDArray[np.float32]]
"""What a model computes of an image; each with a first dimension of 1."""

# Each image is computed by one processor, and as many at once as there are: that takes less time in
# all than two processors working on one image.
_MOST_STREAMS: Final = 8


class Network:
    """A model that takes one image at a time; safe to share between threads.

    Args:
        content: the model in ONNX's format.
        size: height and width of the images, -1 for one that varies.
        channels_reversed: the model wants blue, green, red.
        streams: how many images are computed at once; as many as there are processors, up to 8.
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
        core.add_extension(ConversionExtension("DequantizeLinear", _dequantized))
        model = core.read_model(content, b"")
        model.reshape([1, 3, *size])
        streams = streams or min(os.cpu_count() or 1, _MOST_STREAMS)
        self._model = core.compile_model(
            _taking_images(model, channels_reversed),
            "CPU",
            {
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": streams,
                # Left alone, it computes in 16 bits where a processor can, and so gives one face
                # another vector on another machine.
                "INFERENCE_PRECISION_HINT": "f32",
                # Pinned threads wait for a processor that another program uses.
                "ENABLE_CPU_PINNING": False,
            },
        )

    def run(self, *images: NDArray[np.uint8]) -> list[Outputs]:
        """Return the model's outputs for each of some images.

        The images are computed side by side where processors are free.

        Args:
            images: each of shape (height, width, 3) in the order red, green, blue.
        """
        if not images:
            return []
        requests = [self._model.create_infer_request() for _ in images]
        inputs = [{0: np.ascontiguousarray(image)[np.newaxis]} for image in images]
        for request, pixels in zip(requests[:-1], inputs[:-1], strict=True):
            request.start_async(pixels, share_inputs=True)
        # Here and not in another thread, which would have to be woken first.
        requests[-1].infer(inputs[-1], share_inputs=True)
        for request in requests[:-1]:
            request.wait()
        # Copies: the tensors belong to the requests, which end here.
        return [
            [np.array(tensor.data) for tensor in request.output_tensors] for request in requests
        ]


def _taking_images(model: ov.Model, channels_reversed: bool) -> ov.Model:
    """Let a model take images as they are: bytes, and the three colours of a pixel together."""
    adapted = PrePostProcessor(model)
    adapted.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    adapted.input().model().set_layout(ov.Layout("NCHW"))
    if channels_reversed:
        adapted.input().preprocess().reverse_channels()
    return adapted.build()


def _dequantized(node: NodeContext) -> Any:
    """Compute the weights that a DequantizeLinear operation stands for.

    OpenVINO knows the operation, but not for blocks of a vector, of which SFace has one. The
    arithmetic is that of https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html.
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
