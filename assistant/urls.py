"""Every address of the site. The API and the literature have files of their own."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic.base import RedirectView

from assistant import health
from assistant.api import api
from assistant.views import access, conversations, evidence, home, images, marks, models_page, proposals, reports, runs

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("chats/", conversations.chats, name="chat-search"),
    path("chats/", conversations.chats, name="chat-create"),
    path("chats/<uuid:conversation_id>/", conversations.chat, name="chat"),
    path("chats/<uuid:conversation_id>/messages/", conversations.send, name="chat-send"),
    path("chats/<uuid:conversation_id>/segment/", marks.segment, name="chat-segment"),
    path("chats/<uuid:conversation_id>/rename/", conversations.rename, name="chat-rename"),
    path("chats/<uuid:conversation_id>/delete/", conversations.delete, name="chat-delete"),
    path("chats/<uuid:conversation_id>/images/<uuid:image_id>/", evidence.image, name="chat-image"),
    path("images/", images.upload, name="image-upload"),
    path("images/sample/", images.sample, name="image-sample"),
    path("images/<uuid:image_id>/preview.png", images.preview, name="image-preview"),
    path("images/<uuid:image_id>/text/", images.text, name="image-text"),
    path("images/<uuid:image_id>/original", images.original, name="image-original"),
    path("images/<uuid:image_id>/masks/", marks.add_mask, name="mask-add"),
    path("images/<uuid:image_id>/measurements/", marks.add_measurement, name="measurement-add"),
    path("annotations/<uuid:annotation_id>/delete/", marks.delete, name="annotation-delete"),
    path("artifacts/<uuid:artifact_id>/", images.artifact, name="artifact"),
    path("artifacts/<uuid:artifact_id>/overlay.png", images.overlay, name="artifact-overlay"),
    path("runs/<uuid:run_id>/events/", runs.run_events, name="run-events"),
    path("runs/<uuid:run_id>/cancel/", runs.cancel, name="run-cancel"),
    path("runs/<uuid:run_id>/calls/<int:number>/", runs.numbered_call, name="run-call"),
    path("runs/<uuid:run_id>/calls/<int:number>/decide/", runs.decide, name="run-decide"),
    path("messages/<uuid:message_id>/evidence/<int:n>/", evidence.evidence, name="evidence"),
    path("tool-calls/<uuid:call_id>/", runs.tool_call, name="tool-call"),
    path("reports/", reports.reports, name="reports"),
    path("reports/<uuid:report_id>/", reports.report, name="report"),
    path("reports/<uuid:report_id>/report.docx", reports.docx, name="report-docx"),
    path("models/", models_page.models, name="models"),
    path("sign-in/", access.sign_in, name="sign-in"),
    path("sign-in/<str:token>/", access.sign_in_link, name="sign-in-link"),
    path("sign-out/", access.sign_out, name="sign-out"),
    path("literature/proposals/", proposals.facets, name="facet-proposals"),
    path("literature/", include("corpus.urls")),
    path("api/", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("favicon.ico", RedirectView.as_view(url="/static/app/favicon.svg"), name="favicon"),
]
