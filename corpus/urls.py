from django.urls import path

from corpus.views import browse, compare, exports, matrix, notes, paper, related_work, searches, selection

app_name = "corpus"

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
    path("<str:key>/", paper.paper, name="paper"),
    path("<str:key>/labels/", paper.labels, name="paper-labels"),
    path("<str:key>/notes/", notes.add, name="note-add"),
    path("<str:key>/notes/<int:pk>/delete/", notes.delete, name="note-delete"),
]
