/* main.c -- the tideway command. */
int main(void) { return 0; }
