#!/bin/bash
# Processes that die in the middle of each of the drivers' operations, and what the next one makes of what they left.
# timeout: 600 full: 6000
exec "$(dirname "$(readlink -f "$0")")/driver.sh" crash clone-crash snap-crash
