-- environment, name_environment, adopt
SELECT Name FROM Environment WHERE EnvironmentId = 1
