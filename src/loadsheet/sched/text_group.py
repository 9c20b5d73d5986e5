"""The sequences of one text model: who waits, who prefills, who decodes, and their cache blocks.

    waiting ──start: worst case reserved──► prefilling ──last chunk ran──► running ──ended──► gone
       └────────────────────── cancelled: at once, or when its step ends ──────────────────────┘

The cost of an iteration does not depend on the number of sequences: context is a sum kept up to
date, the tuple of decodes is reused while nobody joins or leaves, and a sequence that once needs
a new block needs one every `block_tokens` iterations, so sequences are filed under that remainder
and about B / block_tokens of them are touched per iteration.
"""

from collections.abc import Collection

from loadsheet.sched.block_pool import BlockPool
from loadsheet.sched.edf_queue import EdfQueue
from loadsheet.sched.limits import TextLimits
from loadsheet.sched.plan import BlockGrant, PrefillChunk, TextBatch, TextShape
from loadsheet.sched.sequence import Sequence, blocks_for, worst_blocks
from loadsheet.sched.token_deadlines import TokenDeadlines
from loadsheet.workload.request import TextRequest


class TextGroup:
    def __init__(self, limits: TextLimits) -> None:
        self.limits = limits
        self.model = limits.model
        self.pool = BlockPool(limits.num_blocks)
        self.deadlines = TokenDeadlines()
        self.it = 0  # text steps so far
        self.last_s = 0.0  # end of the last one
        self.context_tokens = 0  # in the cache, of all running sequences
        self.waiting_prompt_tokens = 0
        self.waiting_output_tokens = 0  # at most
        self._sequences: dict[str, Sequence] = {}
        self.waiting: EdfQueue[Sequence] = EdfQueue()
        self._prefilling: EdfQueue[Sequence] = EdfQueue()
        self._sampling: dict[str, Sequence] = {}  # their last chunk is in the running step
        self._running: dict[str, Sequence] = {}
        self._decodes: tuple[str, ...] | None = ()  # the keys of _running; None: out of date
        # by the remainder of the iterations before which they need one more block
        self._grows: list[dict[str, Sequence]] = [{} for _ in range(limits.block_tokens)]
        self._ends: dict[int, dict[str, Sequence]] = {}  # by last_it
        self._is_stepping = False
        self._kept_shape = TextShape(
            num_decodes=0, decode_context_tokens=0, prefill_tokens=0, prefill_context_tokens=0
        )
        self._chunked: tuple[str, ...] = ()  # prefills of the running step
        self._leaving: list[str] = []  # cancelled while in the running step

    @property
    def num_decodes(self) -> int:
        return len(self._running)

    @property
    def num_started(self) -> int:
        """Sequences that hold cache blocks."""
        return len(self._running) + len(self._prefilling) + len(self._sampling)

    @property
    def num_waiting(self) -> int:
        return len(self.waiting)

    @property
    def is_empty(self) -> bool:
        return not self._sequences

    @property
    def only_decodes(self) -> bool:
        """Whether nobody waits or prefills."""
        return len(self._running) == len(self._sequences)

    @property
    def is_ready(self) -> bool:
        """Whether a step could run now."""
        if self._is_stepping:
            return False
        return bool(self._running) or self.next_prefill() is not None

    def next_token_due_s(self) -> float:
        """When the next iteration has to end; infinity without decodes."""
        return self.deadlines.next_s(self.it, self.last_s)

    def next_prefill(self) -> Sequence | None:
        """The most urgent prompt that a step could work on: started, or startable."""
        started, waiting = self._prefilling.head(), self.waiting.head()
        if waiting is None or not self._can_start(waiting):
            return started
        return waiting if started is None else min(started, waiting, key=lambda one: one.urgency)

    def prefill_tokens_ready(self) -> int:
        """Prompt tokens that the next step could prefill, at most one full chunk."""
        max_tokens = self.limits.max_chunk_tokens
        tokens = sum(sequence.prompt_left for sequence in self._prefilling)
        num_seats = self.limits.max_num_seqs - self.num_started
        num_blocks = self.pool.num_available
        for sequence in self.waiting:
            num_seats -= 1
            num_blocks -= sequence.worst_blocks
            if num_seats < 0 or num_blocks < 0 or tokens >= max_tokens:
                break
            tokens += sequence.prompt_left
        return min(tokens, max_tokens)

    def shape(self, prefill_tokens: int, prefill_context_tokens: int) -> TextShape:
        """Of a step that fuses all decodes with this much prefill."""
        if not prefill_tokens:
            return self._decode_shape()
        return TextShape(
            num_decodes=len(self._running),
            decode_context_tokens=self.context_tokens,
            prefill_tokens=prefill_tokens,
            prefill_context_tokens=prefill_context_tokens,
        )

    def _decode_shape(self) -> TextShape:
        """Asked several times per decision, so the last one is kept."""
        kept = self._kept_shape
        num_decodes = len(self._running)
        if kept.decode_context_tokens != self.context_tokens or kept.num_decodes != num_decodes:
            kept = self._kept_shape = TextShape(
                num_decodes=num_decodes,
                decode_context_tokens=self.context_tokens,
                prefill_tokens=0,
                prefill_context_tokens=0,
            )
        return kept

    def shape_after(self, num_steps: int) -> TextShape:
        """Of a decode after `num_steps` more of them."""
        num_decodes = len(self._running)
        return TextShape(
            num_decodes=num_decodes,
            decode_context_tokens=self.context_tokens + num_steps * num_decodes,
            prefill_tokens=0,
            prefill_context_tokens=0,
        )

    def add(self, request: TextRequest, order: int) -> None:
        sequence = Sequence(
            request=request,
            order=order,
            first_token_due_s=request.arrival_s + request.slo.ttft_s,
            worst_blocks=worst_blocks(request, self.limits),
        )
        self._sequences[request.request_id] = sequence
        self.waiting.add(*sequence.urgency, sequence)
        self.waiting_prompt_tokens += request.prompt_tokens
        self.waiting_output_tokens += request.max_output_tokens

    def cancel(self, request_id: str) -> bool:
        """Whether it left at once; otherwise it leaves when the running step finishes."""
        if self._is_stepping and (request_id in self._running or request_id in self._chunked):
            self._leaving.append(request_id)
            return False
        self._remove(self._sequences[request_id])
        return True

    def give_up(self, sequence: Sequence) -> None:
        """Start a waiting prompt after all those that can still be in time."""
        self.waiting.discard(*sequence.urgency)
        sequence.first_token_due_s = float("inf")
        self.waiting.add(*sequence.urgency, sequence)

    def start_step(self, chunk_tokens: int) -> tuple[TextBatch, TextShape]:
        """All decodes, and up to `chunk_tokens` of the most urgent prompts."""
        assert not self._is_stepping, f"{self.model} already runs a step"
        self._is_stepping = True
        if self._decodes is None:
            self._decodes = tuple(self._running)
        grants = self._grow()
        chunks = self._cut_chunks(chunk_tokens, grants) if chunk_tokens else ()
        self._chunked = tuple(chunk.request_id for chunk in chunks)
        batch = TextBatch(decodes=self._decodes, chunks=chunks, grants=tuple(grants))
        return batch, self.shape(
            sum(chunk.num_tokens for chunk in chunks), sum(chunk.past_tokens for chunk in chunks)
        )

    def finish_step(self, batch: TextBatch, ended: Collection[str], now_s: float) -> list[str]:
        """Everybody in the batch advanced. Returns who left."""
        self._end_iteration(len(batch.decodes), now_s)
        if not (batch.chunks or ended or self._leaving or self.it in self._ends):
            return []
        # dicts instead of sets: the order of leaving decides who gets which block next
        gone = dict.fromkeys((*ended, *self._leaving))
        gone.update(dict.fromkeys(self._ends.get(self.it, ())))
        self._leaving.clear()
        for chunk in batch.chunks:
            self._sequences[chunk.request_id].prefilled_tokens += chunk.num_tokens
        for sequence in self._sampling.values():
            if sequence.request.max_output_tokens == 1:
                gone[sequence.request_id] = None
            elif sequence.request_id not in gone:
                self._join(sequence, now_s)
        left = [self._sequences[request_id] for request_id in gone if request_id in self._sequences]
        for sequence in left:
            self._remove(sequence)
        self._sampling.clear()
        return [sequence.request_id for sequence in left]

    def skip(self, num_steps: int, ended: Collection[str], now_s: float) -> list[str]:
        """`num_steps` decodes ran, nobody joined or left but at the end of the last. Who left."""
        block_tokens = self.limits.block_tokens
        for offset in range(1, min(num_steps, block_tokens) + 1):
            growing = self._grows[(self.it + offset) % block_tokens]
            if not growing:
                continue
            num_blocks = 1 + (num_steps - offset) // block_tokens
            block_ids = self.pool.grant(num_blocks * len(growing))
            for place, sequence in enumerate(growing.values()):
                start = place * num_blocks
                sequence.block_ids.extend(block_ids[start : start + num_blocks])
        num_decodes = len(self._running)
        self.it += num_steps - 1
        self.context_tokens += (num_steps - 1) * num_decodes
        self._end_iteration(num_decodes, now_s)
        # who reaches its last allowed token ends even if nobody says so
        gone = list(dict.fromkeys((*ended, *self._ends.get(self.it, ()))))
        for request_id in gone:
            self._remove(self._sequences[request_id])
        return gone

    def _end_iteration(self, num_decodes: int, now_s: float) -> None:
        self._is_stepping = False
        self.it += 1
        self.last_s = now_s
        self.context_tokens += num_decodes

    def check_integrity(self) -> None:
        """Every block, seat and token is accounted for once. O(sequences + blocks)."""
        sequences = self._sequences.values()
        started = [one for one in sequences if one.is_started]
        waiting = [one.request for one in sequences if not one.is_started]
        self.pool.check_integrity(
            granted=[block_id for one in started for block_id in one.block_ids],
            num_promised=sum(one.worst_blocks - len(one.block_ids) for one in started),
        )
        assert len(started) == self.num_started <= self.limits.max_num_seqs
        assert len(waiting) == len(self.waiting) <= self.limits.max_waiting
        assert self.waiting_prompt_tokens == sum(one.prompt_tokens for one in waiting)
        assert self.waiting_output_tokens == sum(one.max_output_tokens for one in waiting)
        assert self._decodes is None or self._decodes == tuple(self._running)
        cached = [one.cached_tokens(self.it) for one in self._running.values()]
        assert self.context_tokens == sum(cached), "context sum drifted"
        for one, tokens in zip(self._running.values(), cached, strict=True):
            assert blocks_for(tokens, self.limits.block_tokens) <= len(one.block_ids)
            assert self._grows[one.grow_phase][one.request_id] is one
            assert self._ends[one.last_it][one.request_id] is one

    def _can_start(self, sequence: Sequence) -> bool:
        has_seat = self.num_started < self.limits.max_num_seqs
        return has_seat and sequence.worst_blocks <= self.pool.num_available

    def _start(self, sequence: Sequence) -> None:
        self.pool.reserve(sequence.worst_blocks)
        sequence.is_started = True
        self._leave_queue(sequence)
        self._prefilling.add(*sequence.urgency, sequence)

    def _leave_queue(self, sequence: Sequence) -> None:
        self.waiting.discard(*sequence.urgency)
        self.waiting_prompt_tokens -= sequence.request.prompt_tokens
        self.waiting_output_tokens -= sequence.request.max_output_tokens

    def _grow(self) -> list[BlockGrant]:
        """One block for each decode that this iteration takes past its last block."""
        growing = self._grows[(self.it + 1) % self.limits.block_tokens]
        if not growing:
            return []
        block_ids = self.pool.grant(len(growing))
        grants = []
        for (request_id, sequence), block_id in zip(growing.items(), block_ids, strict=True):
            sequence.block_ids.append(block_id)
            grants.append(BlockGrant(request_id=request_id, block_ids=(block_id,)))
        return grants

    def _cut_chunks(self, max_tokens: int, grants: list[BlockGrant]) -> tuple[PrefillChunk, ...]:
        max_tokens = min(max_tokens, self.limits.max_chunk_tokens)
        chunks: list[PrefillChunk] = []
        while max_tokens and (sequence := self.next_prefill()) is not None:
            if not sequence.is_started:
                self._start(sequence)
            num_tokens = min(sequence.prompt_left, max_tokens)
            max_tokens -= num_tokens
            chunks.append(self._cut_chunk(sequence, num_tokens))
            if num_blocks := self._missing_blocks(sequence, num_tokens):
                grants.append(self._grant(sequence, num_blocks))
            if chunks[-1].is_last:
                self._prefilling.discard(*sequence.urgency)
                self._sampling[sequence.request_id] = sequence
        return tuple(chunks)

    def _cut_chunk(self, sequence: Sequence, num_tokens: int) -> PrefillChunk:
        return PrefillChunk(
            request_id=sequence.request_id,
            num_tokens=num_tokens,
            past_tokens=sequence.prefilled_tokens,
            is_last=num_tokens == sequence.prompt_left,
        )

    def _missing_blocks(self, sequence: Sequence, num_tokens: int) -> int:
        num_blocks = blocks_for(sequence.prefilled_tokens + num_tokens, self.limits.block_tokens)
        return num_blocks - len(sequence.block_ids)

    def _grant(self, sequence: Sequence, num_blocks: int) -> BlockGrant:
        block_ids = self.pool.grant(num_blocks)
        sequence.block_ids.extend(block_ids)
        return BlockGrant(request_id=sequence.request_id, block_ids=block_ids)

    def _join(self, sequence: Sequence, now_s: float) -> None:
        """Its first token was sampled; from the next iteration on it decodes."""
        request = sequence.request
        room_tokens = -request.prompt_tokens % self.limits.block_tokens  # left in its last block
        sequence.is_decoding = True
        sequence.join_it = self.it
        sequence.grow_phase = (self.it + 1 + room_tokens) % self.limits.block_tokens
        sequence.key_s = now_s - self.it * request.slo.tpot_s
        self.deadlines.add(sequence.key_s, sequence.order, request.slo.tpot_s)
        self.context_tokens += request.prompt_tokens
        self._grows[sequence.grow_phase][request.request_id] = sequence
        self._ends.setdefault(sequence.last_it, {})[request.request_id] = sequence
        self._running[request.request_id] = sequence
        self._decodes = None

    def _remove(self, sequence: Sequence) -> None:
        del self._sequences[sequence.request_id]
        if not sequence.is_started:
            self._leave_queue(sequence)
            return
        if sequence.is_decoding:
            self._leave_batch(sequence)
        else:
            self._prefilling.discard(*sequence.urgency)  # not there when its last chunk ran
        num_promised = sequence.worst_blocks - len(sequence.block_ids)
        self.pool.release(sequence.block_ids, num_promised)

    def _leave_batch(self, sequence: Sequence) -> None:
        request = sequence.request
        self.deadlines.remove(sequence.key_s, sequence.order, request.slo.tpot_s)
        self.context_tokens -= sequence.cached_tokens(self.it)
        del self._grows[sequence.grow_phase][request.request_id]
        self._unfile_end(sequence)
        del self._running[request.request_id]
        self._decodes = None

    def _unfile_end(self, sequence: Sequence) -> None:
        ending = self._ends[sequence.last_it]
        del ending[sequence.request_id]
        if not ending:
            del self._ends[sequence.last_it]
