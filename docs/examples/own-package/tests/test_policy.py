from my_lab.policy import round_robin

from testbed.contracts.policy import PolicyContract


class TestRoundRobin(PolicyContract):
    def build(self, settings):
        return round_robin(settings)
