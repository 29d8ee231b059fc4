#!/bin/bash
# A guest with an IOMMU of its own (QEMU's intel-iommu) that is strict about it: each buffer of each request is mapped
# for that request alone, and the back-end is told and asked all the time.
. "$(dirname "$0")/lib.sh"

e2e_begin
backend_block disk "$(image disk 64M)" --set Device.Iommu=yes
# shellcheck disable=SC2046
guest_start vm 2 fio -machine q35,memory-backend=ram -device intel-iommu,intremap=off,device-iotlb=on \
        -append "console=ttyS0 channel=ttyS1 quiet panic=-1 mitigations=off random.trust_cpu=on intel_iommu=on iommu.strict=1 iommu.passthrough=0" \
        $(disk disk 2),iommu_platform=on,ats=on,disable-legacy=on
check "the guest drives its IOMMU" guest vm 'dmesg | grep -q "DMAR: IOMMU enabled"'
equal "the disk is behind it" "$(guest vm 'ls -d /sys/class/block/vda/device/../iommu_group | wc -l')" 1
check "the driver accepted ACCESS_PLATFORM" guest vm '[ "$(cut -c 34 /sys/class/block/vda/device/features)" = 1 ]'
# The firmware leaves its ring behind, at addresses that mean nothing once the IOMMU is on: what came of that is past.
guest vm 'dmesg -c >/dev/null'
check "fio finds every block as written" guest vm \
        'fio --name=verify --filename=/dev/vda --size=2M --offset_increment=8M --numjobs=2 --bsrange=4k-32k --rw=randrw
                --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=8 --direct=1 --group_reporting --minimal >/tmp/fio 2>&1'
check "the kernel saw no error" guest vm '! dmesg | grep -Ei "i/o error|timed out|dmar: .*fault"'
guest_off vm
e2e_end
