import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("assistant", "0004_old_images_get_a_study")]
    operations = [
        migrations.AlterField(
            model_name="image",
            name="study",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="series", to="assistant.study"
            ),
        ),
    ]
