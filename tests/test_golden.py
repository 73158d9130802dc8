"""Published examples, on the reference and on the compiled kernels in float64 alike."""

from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import reference


def _sgd_step(w, dw, v, hyper, **options):
    """The compiled kernel with the reference's signature: the new (w, v)."""
    w, v = w.copy(), None if v is None else v.copy()
    fastnn.sgd_step(w, dw, v, np.array(hyper), **options)
    return w, v


KERNELS = SimpleNamespace(**{**vars(fastnn), "sgd_step": _sgd_step})


@pytest.fixture(params=[reference, KERNELS], ids=["reference", "kernels"])
def nn(request):
    return request.param


def close(got, want, digits=10):
    """Equal to the printed digits, or nearly so where all seventeen are given."""
    np.testing.assert_allclose(got, want, rtol=10.0**-digits, atol=0.6 * 10.0**-digits)


def array(*values):
    return np.array(values, dtype=np.float64)


def nchw(shape, start, stop):
    """numpy.linspace as the course's exercises lay it out, made channels last."""
    x = np.linspace(start, stop, int(np.prod(shape))).reshape(shape)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


class TestMazur:
    """Matt Mazur, "A step by step backpropagation example" (2015): a 2-2-2 sigmoid network."""

    x = array([0.05, 0.10])
    t = array([0.01, 0.99])
    rate = 0.5

    def start(self):
        w1, b1 = array([0.15, 0.20], [0.25, 0.30]), array(0.35, 0.35)
        w2, b2 = array([0.40, 0.45], [0.50, 0.55]), array(0.60, 0.60)
        return [w1, b1, w2, b2]

    def gradients(self, nn, parameters):
        """(error, o, the gradient of each parameter); the mean of two squares is Mazur's error."""
        w1, b1, w2, b2 = parameters
        h = nn.linear(self.x, w1, b1, activation="sigmoid")
        o = nn.linear(h, w2, b2, activation="sigmoid")
        error, do = nn.mse(o, self.t)
        delta_o = nn.sigmoid_backward(do, o)
        delta_h = nn.sigmoid_backward(nn.gemm(delta_o, w2), h)
        dw1, dw2 = nn.gemm(delta_h, self.x, trans_a=True), nn.gemm(delta_o, h, trans_a=True)
        return error, o, [dw1, nn.bias_backward(delta_h), dw2, nn.bias_backward(delta_o)]

    def train(self, nn, steps, train_biases):
        parameters = self.start()
        hyper = array(self.rate, 0.0, 0.0)
        for _ in range(steps):
            _, _, gradients = self.gradients(nn, parameters)
            for i, (p, dp) in enumerate(zip(parameters, gradients, strict=True)):
                if train_biases or p.ndim == 2:
                    parameters[i] = nn.sgd_step(p.ravel(), dp.ravel(), None, hyper)[0].reshape(
                        p.shape
                    )
        return parameters

    def test_forward(self, nn):
        w1, b1, w2, b2 = self.start()
        close(nn.linear(self.x, w1, b1), [[0.3775, 0.3925]], 15)
        h = nn.linear(self.x, w1, b1, activation="sigmoid")
        close(h, [[0.5932699921071872, 0.596884378259767]], 14)
        close(nn.linear(h, w2, b2), [[1.10590596705977, 1.2249214040964653]], 14)
        error, o, _ = self.gradients(nn, self.start())
        close(o, [[0.7513650695523157, 0.7729284653214625]], 14)
        close(error, 0.2983711087600027, 14)

    def test_gradients(self, nn):
        _, _, (dw1, db1, dw2, db2) = self.gradients(nn, self.start())
        close(db1, [0.00877135468948693, 0.009954254705217196], 14)
        close(db2, [0.13849856162855695, -0.038098236516556236], 14)
        close(
            dw1,
            [
                [0.0004385677344743465, 0.000877135468948693],
                [0.0004977127352608599, 0.0009954254705217198],
            ],
            14,
        )
        close(
            dw2,
            [
                [0.08216704056423077, 0.08266762784753325],
                [-0.02260254047747507, -0.022740242215978222],
            ],
            14,
        )

    def test_one_step(self, nn):
        parameters = self.train(nn, 1, train_biases=False)
        close(
            parameters[0],
            [
                [0.1497807161327628, 0.19956143226552567],
                [0.24975114363236958, 0.29950228726473915],
            ],
            14,
        )
        close(
            parameters[2],
            [[0.35891647971788465, 0.4086661860762334], [0.5113012702387375, 0.5613701211079891]],
            14,
        )
        error, o, _ = self.gradients(nn, parameters)
        close(o, [[0.7420881111907824, 0.7752849682944595]], 14)
        close(error, 0.29102777369359933, 14)  # the post itself prints 0.291027924

    def test_one_step_with_biases(self, nn):
        parameters = self.train(nn, 1, train_biases=True)
        close(parameters[1], [0.3456143226552565, 0.3450228726473914], 14)
        close(parameters[3], [0.5307507191857215, 0.6190491182582781], 14)
        close(self.gradients(nn, parameters)[0], 0.28047144679143016, 14)

    def test_ten_thousand_steps(self, nn):
        error, o, _ = self.gradients(nn, self.train(nn, 10_000, train_biases=False))
        close(o, [[0.01591362044355068, 0.9840642735146238]], 12)
        np.testing.assert_allclose(error, 3.510187782978859e-05, rtol=1e-10)
        error, _, _ = self.gradients(nn, self.train(nn, 10_000, train_biases=True))
        np.testing.assert_allclose(error, 2.4475622359322466e-06, rtol=1e-10)


class TestCS231nNotes:
    """Stanford CS231n's course notes, on backpropagation and on linear classification."""

    def test_neuron(self, nn):
        """sigmoid(w0 x0 + w1 x1 + w2)."""
        w, x = array([2, -3, -3]), array([-1, -2, 1])
        f = nn.linear(x, w, activation="sigmoid")
        delta = nn.sigmoid_backward(np.ones((1, 1)), f)
        close(f, [[0.7310585786300049]], 14)
        dx = nn.gemm(delta, w)
        close(dx[0, :2], [0.3932238664829637, -0.5898357997244456], 14)
        dw = nn.gemm(delta, x, trans_a=True)
        close(dw, [[-0.19661193324148185, -0.3932238664829637, 0.19661193324148185]], 14)

    def test_staged_circuit(self, nn):
        """(x + sigmoid(y)) / (sigmoid(x) + (x + y)**2) at x = 3, y = -4."""
        x, y = array(3), array(-4)
        sx, sy = nn.sigmoid(x), nn.sigmoid(y)
        numerator, denominator = x + sy, sx + (x + y) ** 2
        f = numerator / denominator
        close(f, 1.5456448841066441, 14)
        dnumerator, ddenominator = 1 / denominator, -f / denominator
        dsquare = 2 * (x + y) * ddenominator
        close(dnumerator + nn.sigmoid_backward(ddenominator, sx) + dsquare, 2.0595697955721652, 14)
        close(nn.sigmoid_backward(dnumerator, sy) + dsquare, 1.5922327514838093, 14)

    def test_linear_classifier(self, nn):
        w = array([0.01, -0.05, 0.1, 0.05], [0.7, 0.2, 0.05, 0.16], [0.0, -0.45, -0.2, 0.03])
        scores = nn.linear(array([-15, 22, -44, 56]), w, array(0, 0.2, -0.3))
        close(scores, [[-2.85, 0.86, 0.28]], 14)
        close(nn.softmax(scores), [[0.0154493157, 0.6311633536, 0.3533873307]])
        close(nn.softmax_cross_entropy(scores, np.array([2]))[0], 1.0401905694301092, 14)

    def test_cat_scores(self, nn):
        scores = array([3.2, 5.1, -1.7])
        close(nn.softmax(scores), [[0.129982539, 0.8690495352, 0.0009679258]])
        close(nn.softmax_cross_entropy(scores, np.array([0]))[0], 2.04035515280017, 14)

    def test_squared_norm(self, nn):
        """q = W x and f = |q|^2: df/dW = 2 q x^T and df/dx = 2 W^T q (lecture 4)."""
        w, x = array([0.1, 0.5], [-0.3, 0.8]), array([0.2, 0.4])
        q = nn.linear(x, w)
        close(q, [[0.22, 0.26]], 15)
        close(nn.gemm(q, q, trans_b=True), [[0.116]], 15)
        loss, dq = nn.mse(q, np.zeros_like(q))  # the mean of two squares, so half of f
        close(2 * loss, 0.116, 15)
        close(2 * dq, [[0.44, 0.52]], 15)
        dw, dx = nn.gemm(2 * dq, x, trans_a=True), nn.gemm(2 * dq, w)
        close(dw, [[0.088, 0.176], [0.104, 0.208]], 15)
        close(dx, [[-0.112, 0.636]], 15)


class TestCS231nAssignment:
    """CS231n's second assignment: inputs are numpy.linspace, results are printed to ten digits."""

    def test_convolution(self, nn):
        x, w = nchw((2, 3, 4, 4), -0.1, 0.5), nchw((3, 3, 4, 4), -0.2, 0.3)
        y = nn.conv2d(x, w, np.linspace(-0.1, 0.2, 3), stride=2, padding=1)
        close(
            y.transpose(0, 3, 1, 2),
            [
                [
                    [[-0.0875980861, -0.1098778064], [-0.1838719176, -0.2109216047]],
                    [[0.210270887, 0.216610968], [0.2284762606, 0.2300463747]],
                    [[0.5081398601, 0.5430997424], [0.6408244387, 0.6710143541]],
                ],
                [
                    [[-0.9805358852, -1.0314354067], [-1.1912889216, -1.24695841]],
                    [[0.691083548, 0.6688038278], [0.5948097166, 0.5677600294]],
                    [[2.3627029812, 2.3690430622], [2.3809083548, 2.3824784689]],
                ],
            ],
        )

    def test_max_pool(self, nn):
        y = nn.max_pool2d(nchw((2, 3, 4, 4), -0.3, 0.4), 2)
        close(
            y.transpose(0, 3, 1, 2).reshape(6, 4),
            [
                [-0.2631578947, -0.2484210526, -0.2042105263, -0.1894736842],
                [-0.1452631579, -0.1305263158, -0.0863157895, -0.0715789474],
                [-0.0273684211, -0.0126315789, 0.0315789474, 0.0463157895],
                [0.0905263158, 0.1052631579, 0.1494736842, 0.1642105263],
                [0.2084210526, 0.2231578947, 0.2673684211, 0.2821052632],
                [0.3263157895, 0.3410526316, 0.3852631579, 0.4],
            ],
        )

    def test_affine(self, nn):
        x = np.linspace(-0.1, 0.5, 240).reshape(2, 120)
        w = np.linspace(-0.2, 0.3, 360).reshape(120, 3)
        y = nn.linear(x, np.ascontiguousarray(w.T), np.linspace(-0.3, 0.1, 3))
        close(
            y,
            [[1.4983496696, 1.7066013217, 1.9148529737], [3.2555319868, 3.5141327024, 3.772733418]],
        )

    def test_relu(self, nn):
        y = nn.relu(np.linspace(-0.5, 0.5, 12).reshape(3, 4))
        close(
            y,
            [
                [0, 0, 0, 0],
                [0, 0, 0.0454545455, 0.1363636364],
                [0.2272727273, 0.3181818182, 0.4090909091, 0.5],
            ],
        )

    def test_sgd_with_momentum(self, nn):
        """There v = momentum*v - lr*dw and w += v: that velocity is -lr times ours."""
        lr = 1e-3
        w, dw = np.linspace(-0.4, 0.6, 20), np.linspace(-0.6, 0.4, 20)
        w, v = nn.sgd_step(w, dw, np.linspace(0.6, 0.9, 20) / -lr, array(lr, 0.9, 0.0))
        v = v * -lr
        close(w[:5], [0.1406, 0.2073894737, 0.2741789474, 0.3409684211, 0.4077578947])
        close(w[19], 1.4096)
        close(v[:5], [0.5406, 0.5547578947, 0.5689157895, 0.5830736842, 0.5972315789])


def onnx_conv(nn, height, expected, **options):
    x = np.arange(5.0 * height).reshape(1, height, 5, 1)
    y = nn.conv2d(x, np.ones((1, 3, 3, 1)), **options)
    np.testing.assert_array_equal(y[0, :, :, 0], expected)


def test_onnx_convolutions(nn):
    """The ONNX operator tests of Conv: a 3x3 window of ones over 0, 1, 2, ..."""
    same = [
        [12, 21, 27, 33, 24],
        [33, 54, 63, 72, 51],
        [63, 99, 108, 117, 81],
        [93, 144, 153, 162, 111],
        [72, 111, 117, 123, 84],
    ]
    onnx_conv(nn, 5, same, padding=1)
    onnx_conv(nn, 5, [[54, 63, 72], [99, 108, 117], [144, 153, 162]])
    strided = [[12, 27, 24], [63, 108, 81], [123, 198, 141], [112, 177, 124]]
    onnx_conv(nn, 7, strided, stride=2, padding=1)
    onnx_conv(nn, 7, [[54, 72], [144, 162], [234, 252]], stride=2)


def test_softmax_cross_entropy_of_one_two_three(nn):
    scores = array([1, 2, 3])
    close(nn.softmax(scores), [[0.09003057317, 0.24472847105, 0.66524095577]], 11)
    loss, dscores = nn.softmax_cross_entropy(scores, np.array([2]))
    close(loss, 0.4076059644443803, 14)
    close(dscores, [[0.0900305732, 0.2447284711, -0.3347590442]])
