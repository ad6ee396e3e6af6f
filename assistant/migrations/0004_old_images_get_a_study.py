from django.db import migrations


def fill(apps, schema_editor):
    Image, Study = apps.get_model("assistant", "Image"), apps.get_model("assistant", "Study")
    for image in Image.objects.filter(study=None).iterator():
        image.study = Study.objects.create(owner_id=image.owner_id, name=image.name)
        image.save(update_fields=["study"])


class Migration(migrations.Migration):
    dependencies = [("assistant", "0003_studies_and_annotations")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
