"""Report drafts: the list, the page, the Word file."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from assistant import exports, pane
from assistant.models import Report

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@login_required
@require_safe
def reports(request: HttpRequest) -> HttpResponse:
    mine = Report.objects.visible_to(request.user).select_related("conversation")
    return render(request, "assistant/reports.html", {"reports": mine})


@login_required
@require_safe
def report(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    mine = Report.objects.visible_to(request.user).select_related("conversation", "tool_call__run")
    found = get_object_or_404(mine, pk=report_id)
    return render(request, "assistant/report.html", {"report": found, "evidence": pane.numbered(found.references)})


@login_required
@require_safe
def docx(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    found = get_object_or_404(Report.objects.visible_to(request.user), pk=report_id)
    response = HttpResponse(exports.report_docx(found), content_type=DOCX)
    response["Content-Disposition"] = f'attachment; filename="report-{found.pk.hex[:8]}.docx"'
    return response
