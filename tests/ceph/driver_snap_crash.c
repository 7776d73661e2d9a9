#include "rig.h"

int snap_crash_tests(void)
{
	return 0;
}
