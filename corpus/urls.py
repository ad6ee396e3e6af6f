from django.urls import path

from corpus.views import browse, matrix, notes, paper

app_name = "corpus"

urlpatterns = [
    path("", browse.browse, name="browse"),
    path("matrix/", matrix.matrix, name="matrix"),
    path("matrix.csv", matrix.matrix_csv, name="matrix-csv"),
    path("matrix.svg", matrix.matrix_svg, name="matrix-svg"),
    path("<str:key>/", paper.paper, name="paper"),
    path("<str:key>/labels/", paper.labels, name="paper-labels"),
    path("<str:key>/notes/", notes.add, name="note-add"),
    path("<str:key>/notes/<int:pk>/delete/", notes.delete, name="note-delete"),
]
