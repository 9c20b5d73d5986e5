"""Writes operators down as a model is walked, layer by layer.

A walk calls one method per module; the tape fills in FLOPs, bytes and parameters. `at` opens a
scope: a module path prefix and how often everything inside repeats.
"""

from dataclasses import dataclass, field, replace

from loadsheet.cost.operator import AttentionShape, Operator, OpKind, Part
from loadsheet.cost.shape import Grid
from loadsheet.specs.precision import Precision, stored_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """Channels in and out, and the window: `kernel` frames x rows x columns."""

    ci: int
    co: int
    kernel: tuple[int, int, int] = (1, 3, 3)
    stride: int = 1
    groups: int = 1
    has_bias: bool = True


def point(ci: int, co: int, *, has_bias: bool = True) -> Conv:
    """A 1x1 convolution."""
    return Conv(ci=ci, co=co, kernel=(1, 1, 1), has_bias=has_bias)


@dataclass(slots=True)
class Tape:
    precision: Precision
    operators: list[Operator] = field(default_factory=list)
    prefix: str = ""
    times: int = 1

    def at(self, name: str, times: int = 1) -> "Tape":
        return Tape(self.precision, self.operators, self._path(name), self.times * times)

    def without_params(self) -> list[Operator]:
        """The operators, for a second run with the same weights."""
        return [replace(operator, params=0) for operator in self.operators]

    def linear(
        self,
        name: str,
        rows: int,
        dims: tuple[int, int],
        *,
        bias: bool = True,
        parts: tuple[Part, ...] = (),
    ) -> None:
        """`rows` vectors of dims[0] to dims[1]; q, k and v together are one product in `parts`."""
        k, n = dims
        params = k * n + (n if bias else 0)
        weights = stored_bytes(k * n, self.precision.weights) + self._values(params - k * n)
        weights = weights if rows else 0
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.GEMM,
                flops=2 * rows * k * n,
                bytes_read=self._values(rows * k) + weights,
                bytes_written=self._values(rows * n),
                m=rows,
                n=n,
                k=k,
                params=params,
                weight_bytes=weights,
                dtype=self.precision.compute,
                stored_as=self.precision.weights,
                parts=parts,
            )
        )

    def wide_linear(
        self, name: str, rows: int, dims: tuple[int, int], *, bias: bool, tied: bool = False
    ) -> None:
        """Logits and routers stay in activation precision; a tied matrix is the embedding's."""
        k, n = dims
        wide = self._values(k * n + (n if bias else 0)) if rows else 0
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.GEMM,
                flops=2 * rows * k * n,
                bytes_read=wide + self._values(rows * k),
                bytes_written=self._values(rows * n),
                m=rows,
                n=n,
                k=k,
                params=(0 if tied else k * n) + (n if bias else 0),
                weight_bytes=wide,
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def conv(self, name: str, grid: Grid, conv: Conv) -> Grid:
        """Returns the output grid; padding keeps the size, `stride` divides rows and columns."""
        out = grid.scaled(down=conv.stride)
        frames, rows, columns = conv.kernel
        k = frames * rows * columns * conv.ci // conv.groups
        bias = conv.co if conv.has_bias else 0
        weights = stored_bytes(k * conv.co, self.precision.weights) + self._values(bias)
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.CONV,
                flops=2 * out.size * k * conv.co,
                bytes_read=self._values(grid.size * conv.ci) + weights,
                bytes_written=self._values(out.size * conv.co),
                m=out.size,
                n=conv.co // conv.groups,
                k=k,
                batch=conv.groups,
                params=k * conv.co + bias,
                weight_bytes=weights,
                dtype=self.precision.compute,
                stored_as=self.precision.weights,
            )
        )
        return out

    def attention(self, name: str, shape: AttentionShape, *, cached: bool = False) -> None:
        """Softmax attention in one fused kernel; scores never reach memory."""
        keys = shape.batch * shape.kv_heads * shape.context
        width = shape.qk_dim if shape.is_latent else shape.qk_dim + shape.value_dim
        kv = stored_bytes(keys * width, self.precision.kv) if cached else self._values(keys * width)
        queries = shape.batch * shape.heads * shape.tokens
        per_pair = shape.qk_dim + shape.value_dim
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.ATTENTION,
                flops=2 * shape.batch * shape.heads * shape.pairs * per_pair,
                bytes_read=self._values(queries * shape.qk_dim) + kv,
                bytes_written=self._values(queries * shape.value_dim),
                m=shape.tokens,
                n=shape.context,
                k=shape.qk_dim,
                batch=shape.batch * shape.heads,
                kv_bytes=kv if cached else 0,
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
                attention=shape,
            )
        )

    def matmul(self, name: str, batch: int, sizes: tuple[int, int, int]) -> None:
        """`batch` products of two activations, [m, k] by [k, n]."""
        m, n, k = sizes
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.GEMM,
                flops=2 * batch * m * n * k,
                bytes_read=self._values(batch * (m * k + k * n)),
                bytes_written=self._values(batch * m * n),
                m=m,
                n=n,
                k=k,
                batch=batch,
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def norm(self, name: str, rows: int, width: int, params: int) -> None:
        moved = self._values(rows * width)
        weights = self._values(params)
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.NORM,
                bytes_read=moved + weights,
                bytes_written=moved,
                params=params,
                weight_bytes=weights,
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def pointwise(self, name: str, read: int, written: int, *, params: int = 0) -> None:
        """Anything element by element: `read` and `written` count values."""
        weights = self._values(params)
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.POINTWISE,
                bytes_read=self._values(read) + weights,
                bytes_written=self._values(written),
                params=params,
                weight_bytes=weights,
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def scan(self, name: str, flops: int, read: int, written: int) -> None:
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.SCAN,
                flops=flops,
                bytes_read=self._values(read),
                bytes_written=self._values(written),
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def cache_write(self, name: str, values: int) -> None:
        """New keys and values into the cache."""
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.POINTWISE,
                bytes_read=self._values(values),
                bytes_written=stored_bytes(values, self.precision.kv),
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def embedding(self, name: str, rows: int, table: tuple[int, int]) -> None:
        """`rows` look-ups in a table of table[0] vectors of table[1]."""
        entries, width = table
        moved = self._values(rows * width)
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.EMBEDDING,
                bytes_read=moved,
                bytes_written=moved,
                params=entries * width,
                weight_bytes=moved,
                dtype=self.precision.activations,
                stored_as=self.precision.activations,
            )
        )

    def experts(
        self,
        name: str,
        rows: int,
        dims: tuple[int, int],
        experts: tuple[int, float],
        *,
        bias: bool,
    ) -> None:
        """`rows` (token, expert) pairs over experts[0] matrices, experts[1] of them touched."""
        k, n = dims
        num, touched = experts
        each = stored_bytes(k * n, self.precision.weights) + self._values(n if bias else 0)
        weights = round(each * touched)
        self.operators.append(
            Operator(
                name=self._path(name),
                count=self.times,
                kind=OpKind.GROUPED_GEMM,
                flops=2 * rows * k * n,
                bytes_read=weights + self._values(rows * k),
                bytes_written=self._values(rows * n),
                m=max(1, round(rows / touched)) if touched else 0,
                n=n,
                k=k,
                batch=max(1, round(touched)),
                params=num * (k * n + (n if bias else 0)),
                weight_bytes=weights,
                dtype=self.precision.compute,
                stored_as=self.precision.weights,
            )
        )

    def _values(self, num: int) -> int:
        return stored_bytes(num, self.precision.activations)

    def _path(self, name: str) -> str:
        return f"{self.prefix}.{name}" if self.prefix and name else self.prefix or name
