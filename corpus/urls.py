from django.urls import path

from corpus.views import browse, matrix, paper

app_name = "corpus"

urlpatterns = [
    path("", browse.browse, name="browse"),
    path("matrix/", matrix.matrix, name="matrix"),
    path("matrix.csv", matrix.matrix_csv, name="matrix-csv"),
    path("matrix.svg", matrix.matrix_svg, name="matrix-svg"),
    path("<str:key>/", paper.paper, name="paper"),
]
