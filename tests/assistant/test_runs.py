"""A question becomes an answer whose every claim opens, whatever dies on the way."""

from datetime import timedelta
from pathlib import Path

import data_store
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from assistant import runs, uploads
from assistant.models import Conversation, Image, Message, Report, Run, ToolCall

pytestmark = pytest.mark.django_db(transaction=True)
RADIOGRAPH = Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"


class WorkerDied(BaseException):
    """Stands for the end of a process: nothing of ours may catch it."""


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture
def radiograph(alice: User) -> Image:
    return uploads.store(alice, SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes()))


def let_leases_run_out() -> None:
    past = timezone.now() - timedelta(seconds=1)
    Run.objects.filter(lease_until__isnull=False).update(lease_until=past)
    ToolCall.objects.filter(lease_until__isnull=False).update(lease_until=past)


def test_alice_asks_about_her_radiograph_and_every_claim_names_its_evidence(conversation, radiograph, eager_celery):
    run = runs.ask(conversation, "Describe this image and segment the lungs", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert {c.name: c.state for c in run.tool_calls.all()} == {"describe_image": "done", "segment": "done"}
    kinds = [reference["kind"] for reference in run.answer.references]
    assert kinds == ["call", "mask", "mask"]
    assert all(reference["verified"] for reference in run.answer.references)
    assert "1841 x 1955" in run.answer.text


def test_what_the_page_replays_is_what_was_answered(conversation, radiograph, eager_celery):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    run.refresh_from_db()
    transcript = run.transcript()
    assert transcript.ended
    assert transcript.text == run.answer.text
    assert [e.seq for e in run.events.all()] == list(range(1, run.last_seq + 1))


def test_a_capability_that_is_not_configured_says_how_to_configure_it(conversation, radiograph, eager_celery):
    run = runs.ask(conversation, "Is there a pleural effusion?", [radiograph])
    run.refresh_from_db()
    assert "not configured" in run.answer.text
    assert "LIGHTBOX_VQA=" in run.answer.text
    assert run.tool_calls.get(name="ask_image").state == ToolCall.DECLINED


def test_without_an_image_the_guide_asks_for_one(conversation, eager_celery):
    run = runs.ask(conversation, "Segment the lungs", [])
    run.refresh_from_db()
    assert "needs an image" in run.answer.text
    assert not run.tool_calls.exists()


def test_a_report_is_drafted_from_the_results_at_hand(conversation, radiograph, eager_celery):
    runs.ask(conversation, "Describe this image and segment the lungs", [radiograph])
    conversation.refresh_from_db()
    run = runs.ask(conversation, "Draft a report", [])
    run.refresh_from_db()
    report = Report.objects.get(conversation=conversation)
    assert [section["heading"] for section in report.sections] == ["Examination", "Findings", "Impression"]
    findings = report.sections[1]["sentences"]
    assert all(sentence["refs"] for sentence in findings)
    assert "no impression about disease" in report.sections[2]["sentences"][0]["text"]
    assert run.answer.references[0]["kind"] == "report"


def test_a_report_about_nothing_is_declined(conversation, eager_celery):
    run = runs.ask(conversation, "Draft a report", [])
    run.refresh_from_db()
    assert run.tool_calls.get().state == ToolCall.DECLINED
    assert "nothing to report" in run.answer.text


def test_a_second_question_waits_for_the_first(conversation):
    runs.ask(conversation, "Which papers adapt CLIP?", [])
    with pytest.raises(runs.Busy):
        runs.ask(conversation, "And SAM?", [])
    assert conversation.messages.count() == 1


@pytest.mark.parametrize("text", ["", "  \n ", "\x00"])
def test_an_empty_question_is_refused_and_leaves_nothing(conversation, text):
    with pytest.raises(runs.Refused):
        runs.ask(conversation, text, [])
    assert not conversation.messages.exists()


def test_a_too_long_question_is_refused(conversation, settings):
    with pytest.raises(runs.Refused, match="longer than"):
        runs.ask(conversation, "a" * (settings.MESSAGE_LIMIT + 1), [])


def test_stop_keeps_what_was_said_and_shuts_the_worker_out(conversation, radiograph):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    runs.advance(str(run.pk))
    call = ToolCall.objects.claim(run.tool_calls.get().pk)
    assert call is not None
    assert runs.cancel(run)
    runs._finish(call, runs.tools.failed("late"))
    run.refresh_from_db()
    call.refresh_from_db()
    assert (run.state, call.state) == (Run.CANCELLED, ToolCall.CANCELLED)
    assert run.answer.note == runs.STOPPED
    assert not runs.cancel(run)


def test_a_task_delivered_twice_does_its_work_once(conversation, radiograph):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    runs.advance(str(run.pk))
    runs.advance(str(run.pk))
    call = run.tool_calls.get()
    runs.call_tool(str(call.pk))
    runs.call_tool(str(call.pk))
    runs.advance(str(run.pk))
    runs.advance(str(run.pk))
    assert conversation.messages.filter(role=Message.ASSISTANT).count() == 1
    assert call.artifacts.count() == 2


@pytest.mark.parametrize("dies_at", range(1, 8))
def test_a_worker_that_dies_at_any_write_costs_nothing_the_reader_sees(
    conversation, radiograph, monkeypatch, eager_celery, dies_at
):
    writes, append = 0, Run.append

    def dying(self: Run, *new: object) -> None:
        nonlocal writes
        writes += 1
        if writes == dies_at:
            raise WorkerDied
        append(self, *new)

    monkeypatch.setattr(Run, "append", dying)
    try:
        run = runs.ask(conversation, "Segment the lungs", [radiograph])
    except WorkerDied:
        run = Run.objects.get(conversation=conversation)
    for _ in range(4):
        let_leases_run_out()
        runs.sweep()
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert conversation.messages.filter(role=Message.ASSISTANT).count() == 1
    assert run.transcript().text == run.answer.text
    assert run.answer.text.count("was outlined") == 2
    assert run.tool_calls.get().artifacts.count() == 2


def test_a_tool_that_kills_its_worker_every_time_is_given_up(conversation, radiograph, settings, eager_celery):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    Run.objects.filter(pk=run.pk).delete()
    conversation.refresh_from_db()
    eager_celery.conf.task_always_eager = False
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    runs.advance(str(run.pk))
    call = run.tool_calls.get()
    for _ in range(settings.ATTEMPTS):
        assert ToolCall.objects.claim(call.pk) is not None
        let_leases_run_out()
        runs.sweep()
    call.refresh_from_db()
    run.refresh_from_db()
    assert call.state == ToolCall.FAILED
    assert "given up" in call.text
    assert run.state == Run.QUEUED


def test_a_run_that_kills_its_worker_every_time_is_given_up(conversation, settings):
    run = runs.ask(conversation, "Which papers adapt CLIP?", [])
    for _ in range(settings.ATTEMPTS):
        assert Run.objects.claim(run.pk) is not None
        let_leases_run_out()
        runs.sweep()
    run.refresh_from_db()
    assert run.state == Run.FAILED
    assert "given up" in run.answer.note


def test_an_image_of_another_conversation_cannot_be_named(conversation, radiograph, alice, eager_celery):
    runs.ask(conversation, "Describe this image", [radiograph])
    other = Conversation.objects.create(owner=alice)
    run = runs.ask(other, "Describe img1", [])
    run.refresh_from_db()
    assert not run.tool_calls.filter(state=ToolCall.DONE, name="describe_image").exists()


def test_deleting_a_conversation_deletes_its_images_and_files(conversation, radiograph, eager_celery):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    paths = [Path(a.file.path) for a in run.tool_calls.get().artifacts.all()]
    paths += [Path(radiograph.cleaned.path), Path(radiograph.preview.path), Path(radiograph.pixels.path)]
    assert all(path.exists() for path in paths)
    conversation.refresh_from_db()
    conversation.delete_with_files()
    assert not any(path.exists() for path in paths)
    assert not Image.objects.exists()


def test_a_tool_that_needs_approval_waits_for_the_click(conversation, radiograph, settings, eager_celery):
    settings.APPROVE = ["segment"]
    run = runs.ask(conversation, "Describe this image and segment the lungs", [radiograph])
    run.refresh_from_db()
    call = run.tool_calls.get(name="segment")
    assert (run.state, call.state, call.started_at) == (Run.WAITING, ToolCall.APPROVAL, None)
    let_leases_run_out()
    runs.sweep()
    call.refresh_from_db()
    assert call.state == ToolCall.APPROVAL
    assert runs.decide(call, allowed=True)
    assert not runs.decide(call, allowed=True)
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert "was outlined" in run.answer.text


def test_a_tool_that_is_not_allowed_is_not_carried_out(conversation, radiograph, settings, eager_celery):
    settings.APPROVE = ["segment"]
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    assert runs.decide(run.tool_calls.get(), allowed=False)
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert not run.tool_calls.get().artifacts.exists()
    assert "not allowed" in run.transcript().parts[0].summary
