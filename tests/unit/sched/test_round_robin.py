from loadsheet.sched.plan import StepKind


def test_text_and_images_take_turns(make_device, make):
    device = make_device("round-robin")
    device.arrive(make.text("t", output=40, tpot=0.011))  # its deadlines do not matter
    device.arrive(make.image("i", steps=3))
    kinds = [device.step().kind for _ in range(8)]
    assert kinds == [
        StepKind.TEXT,
        StepKind.ENCODE,
        StepKind.TEXT,
        StepKind.DENOISE,
        StepKind.TEXT,
        StepKind.DENOISE,
        StepKind.TEXT,
        StepKind.DENOISE,
    ]


def test_whoever_is_alone_runs_back_to_back(make_device, make):
    device = make_device("round-robin")
    device.arrive(make.image("i", steps=2))
    assert [device.step().kind for _ in range(2)] == [StepKind.ENCODE, StepKind.DENOISE]
    device.arrive(make.text("t", output=2))
    assert device.step().kind is StepKind.TEXT


def test_prefill_is_fused_in_chunks_of_512(make_device, make):
    limits = make.text_limits(num_blocks=1000, max_chunk_tokens=4096)
    device = make_device("round-robin", limits=make.device_limits(text=(limits,)))
    device.arrive(make.text("a", prompt=8, output=40))
    device.step()
    device.arrive(make.text("b", prompt=600))
    plan = device.step()
    assert plan.batch.decodes == ("a",)
    assert [chunk.num_tokens for chunk in plan.batch.chunks] == [512]


def test_text_models_take_turns(make_device, make):
    names = ("one", "two", "three")
    limits = make.device_limits(text=tuple(make.text_limits(model=name) for name in names))
    device = make_device("round-robin", limits=limits)
    for name in names:
        device.arrive(make.text(name, model=name, output=9))
    assert [device.step().model for _ in range(6)] == [*names, *names]
