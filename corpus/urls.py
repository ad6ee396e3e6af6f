from django.urls import path

from corpus.views import browse, paper

app_name = "corpus"

urlpatterns = [
    path("", browse.browse, name="browse"),
    path("<str:key>/", paper.paper, name="paper"),
]
