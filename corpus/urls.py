from django.urls import path

from corpus.views import browse, files, paper

app_name = "corpus"

urlpatterns = [
    path("", browse.browse, name="browse"),
    path("library/pdf/", files.new_paper, name="new-paper"),
    path("files/<uuid:file_id>/", files.file, name="file"),
    path("files/<uuid:file_id>/paper.pdf", files.pdf, name="file-pdf"),
    path("files/<uuid:file_id>/remove/", files.remove, name="file-remove"),
    path("<str:key>/", paper.paper, name="paper"),
    path("<str:key>/file/", files.paper_files, name="paper-files"),
    path("<str:key>/details/", files.paper_details, name="paper-details"),
]
