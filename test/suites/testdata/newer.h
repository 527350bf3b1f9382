/* What the C suite of 3.8.0 takes for granted and newer compilers and OpenSSL 3 no longer bring along. */
#include <time.h>
#define FIPS_mode() 0
