from django.urls import path

from corpus.views import browse, compare, exports, files, matrix, notes, paper, related_work, searches, selection

app_name = "corpus"

# A citation key may be any word, so what has an address of its own stands before it.
urlpatterns = [
    path("", browse.browse, name="browse"),
    path("selection/", selection.selection, name="selection"),
    path("selection/add/", selection.add, name="selection-add"),
    path("selection/remove/", selection.remove, name="selection-remove"),
    path("selection/clear/", selection.clear, name="selection-clear"),
    path("export/<str:form>/", exports.export, name="export"),
    path("references/", exports.bibliography, name="references"),
    path("compare/", compare.compare, name="compare"),
    path("compare/<str:form>/", compare.compare_file, name="compare-file"),
    path("related-work/", related_work.related_work, name="related-work"),
    path("related-work/<str:form>/", related_work.related_work_file, name="related-work-file"),
    path("searches/", searches.searches, name="saved-searches"),
    path("searches/save/", searches.save, name="saved-search-save"),
    path("searches/<int:pk>/", searches.search, name="saved-search"),
    path("searches/<int:pk>/keep/", searches.keep, name="saved-search-keep"),
    path("searches/<int:pk>/delete/", searches.delete, name="saved-search-delete"),
    path("matrix/", matrix.matrix, name="matrix"),
    path("matrix.csv", matrix.matrix_csv, name="matrix-csv"),
    path("matrix.svg", matrix.matrix_svg, name="matrix-svg"),
    path("library/pdf/", files.new_paper, name="new-paper"),
    path("files/<uuid:file_id>/", files.file, name="file"),
    path("files/<uuid:file_id>/paper.pdf", files.pdf, name="file-pdf"),
    path("files/<uuid:file_id>/remove/", files.remove, name="file-remove"),
    path("<str:key>/", paper.paper, name="paper"),
    path("<str:key>/labels/", paper.labels, name="paper-labels"),
    path("<str:key>/notes/", notes.add, name="note-add"),
    path("<str:key>/notes/<int:pk>/delete/", notes.delete, name="note-delete"),
    path("<str:key>/file/", files.paper_files, name="paper-files"),
    path("<str:key>/details/", files.paper_details, name="paper-details"),
]
