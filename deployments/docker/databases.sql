-- Beside Prefect's own database, which the image makes.
CREATE DATABASE agents;
