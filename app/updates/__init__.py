"""New versions of the program itself: looked for with permission, verified, put beside the present one, undone."""
