from django.urls import path

from corpus.views import browse, imports, library, paper

app_name = "corpus"

urlpatterns = [
    path("", browse.browse, name="browse"),
    path("library/", library.library, name="library"),
    path("library/delete/", library.delete, name="library-delete"),
    path("library/import/", imports.new, name="import-new"),
    path("library/imports/<uuid:import_id>/", imports.show, name="import"),
    path("library/imports/<uuid:import_id>/cancel/", imports.cancel, name="import-cancel"),
    path("library/imports/<uuid:import_id>/report.md", imports.report_file, name="import-report"),
    path("library/imports/<uuid:import_id>/repaired.md", imports.repaired_list, name="import-repaired"),
    path("<str:key>/", paper.paper, name="paper"),
]
