"""Language models that read text: questions made and checked, answers judged."""
