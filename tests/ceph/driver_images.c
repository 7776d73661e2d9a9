#include "rig.h"

int images_tests(void)
{
	return 0;
}
