from django.urls import path

from corpus import views

app_name = "corpus"

urlpatterns = [
    path("", views.browse, name="browse"),
    path("<str:key>/", views.paper, name="paper"),
]
