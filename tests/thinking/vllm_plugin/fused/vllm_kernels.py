"""The part of Model Runner V2 around its sampler: vLLM's own kernels, in Triton's interpreter.

vLLM's build for CPUs does not use Triton, even if it is there. :func:`use_triton` gives it to the
modules that are imported afterwards.
"""

import random

import numpy as np
import torch
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

from tests.server.conftest import VOCAB_SIZE
from tests.thinking.vllm_plugin.runners import MAX_REQUESTS, RunnerV2, WorkerConfig

SEED = 7


def use_triton() -> None:
    """Let vLLM's modules find Triton; before they are imported."""
    import triton
    from triton import language
    from triton.language.extra import libdevice
    from vllm import triton_utils

    triton_utils.triton, triton_utils.tl, triton_utils.tldevice = triton, language, libdevice


class SpeculatingRunner(RunnerV2):
    """Lays out the rows, accepts and rejects drafts, and records tokens with vLLM's kernels."""

    def __init__(self, config: WorkerConfig, temperature: float) -> None:
        super().__init__(config)
        slots = MAX_REQUESTS
        self.temperature = torch.full((slots,), temperature)
        self.seeds = torch.full((slots,), SEED, dtype=torch.int64)
        self.num_computed = torch.zeros(slots, dtype=torch.int32)
        self.last_sampled = torch.zeros((slots, 1), dtype=torch.int64)
        self.draft_tokens = torch.zeros((slots, self.num_drafts), dtype=torch.int64)
        self.num_accepted_drafts = 0

    def _run(self, scheduled: list[int], rng: random.Random) -> None:
        from vllm.v1.worker.gpu import input_batch as kernels
        from vllm.v1.worker.gpu.spec_decode.rejection_sampler import gather_draft_sampled
        from vllm.v1.worker.gpu.spec_decode.rejection_sampler_utils import rejection_sample

        drafts = [self._draft(slot, rng) for slot in scheduled]
        for slot, draft in zip(scheduled, drafts, strict=True):
            self._prepare(slot, draft)
        counts = np.array([len(draft) + 1 for draft in drafts], dtype=np.int32)
        ends = torch.from_numpy(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
        num_rows, history = int(ends[-1]), self.history
        index = torch.tensor(scheduled)
        inputs = torch.zeros(num_rows, dtype=torch.int32)
        positions = torch.zeros(num_rows, dtype=torch.int64)
        lengths = torch.zeros(len(scheduled), dtype=torch.int32)
        row_slots, offsets = kernels.expand_idx_mapping(index, num_rows, ends, self.num_drafts + 1)
        kernels.prepare_pos_seq_lens(index, ends, self.num_computed, positions, lengths)
        prefill = history.prefill_len.gpu
        places = kernels.combine_sampled_and_draft_tokens(
            *(inputs, index, self.last_sampled, ends, lengths, prefill),
            *(self.draft_tokens, ends, num_rows),
        )
        sampled_drafts, rows_at = gather_draft_sampled(
            inputs, positions, places, row_slots, offsets, prefill
        )
        context = LogitsContext(
            expanded_idx_mapping=row_slots,
            idx_mapping=index,
            idx_mapping_np=np.array(scheduled, dtype=np.int32),
            expanded_local_pos=offsets,
            input_ids=sampled_drafts,
            pos=rows_at,
            seq_lens_upper_bound_np=lengths.numpy(),
        )
        logits = self.processor.apply(self._predict(scheduled, drafts), context)
        sampled, num_sampled = rejection_sample(
            *(logits, None, sampled_drafts, ends, rows_at, index, row_slots, offsets),
            *(self.temperature, self.seeds, self.num_drafts),
        )
        num_sampled, num_rejected = kernels.get_num_sampled_and_rejected(
            num_sampled, lengths, ends, index, prefill
        )
        kernels.post_update(
            *(index, self.num_computed, self.last_sampled, None, sampled, num_sampled),
            *(num_rejected, ends, history.all_token_ids.gpu, history.total_len.gpu),
        )
        for slot, row, number in zip(
            scheduled, sampled.tolist(), num_sampled.tolist(), strict=True
        ):
            self.num_accepted_drafts += number - 1
            self._note(slot, row[:number])

    def _draft(self, slot: int, rng: random.Random) -> list[int]:
        """Return what a good drafter might propose, up to a token that is wrong."""
        request = self.slots[slot]
        draft = super()._draft(slot, rng)
        for place in range(rng.randint(0, len(draft))):
            if request.tracker.forced_token_id is None:
                draft[place] = int(predict(request.output + draft[:place]).argmax())
        return draft

    def _prepare(self, slot: int, draft: list[int]) -> None:
        """Set what the runner knows of the slot: all tokens but the last one are computed."""
        request = self.slots[slot]
        tokens = request.prompt + request.output
        self.num_computed[slot] = len(tokens) - 1
        self.last_sampled[slot] = tokens[-1]
        self.draft_tokens[slot] = -1
        self.draft_tokens[slot, : len(draft)] = torch.tensor(draft, dtype=torch.int64)

    def _predict(self, scheduled: list[int], drafts: list[list[int]]) -> torch.Tensor:
        """Return the toy model's logits for each row, which depend on all tokens before it."""
        rows = []
        for slot, draft in zip(scheduled, drafts, strict=True):
            output = self.slots[slot].output
            rows += [predict(output + draft[:place]) for place in range(len(draft) + 1)]
        return torch.stack(rows)

    def _note(self, slot: int, accepted: list[int]) -> None:
        """Check the accepted tokens against the request's tracker."""
        request = self.slots[slot]
        for token in accepted:
            if request.plan is not None:
                assert request.tracker.forced_token_id in (None, token)
                request.tracker.advance(token)
                assert request.tracker.num_hidden <= request.plan.budget
            request.output.append(token)


def predict(output: list[int]) -> torch.Tensor:
    """Return the logits (``[vocab]``) of a toy model after `output`."""
    generator = torch.Generator().manual_seed(abs(hash((SEED, *output[-3:]))) % 2**60)
    logits: torch.Tensor = 4 * torch.randn(VOCAB_SIZE, generator=generator)
    return logits
